//! One rule per operator: from dL/dy of its output to dL/dx of its inputs.

mod convolution;
mod elementwise;
mod layout;
mod linear;
mod normalisation;
mod pooling;
mod quantised;
mod reduction;
mod window;

use rten_onnx::onnx::NodeProto;

use super::facts::Facts;
use super::tape::Tape;

/// Pairs of input position and gradient, or why there is none.
pub(super) type Rule = Result<Vec<(usize, String)>, String>;

/// One forward node whose outputs' gradients are known.
pub(super) struct Step<'a> {
    pub node: &'a NodeProto,
    pub facts: &'a Facts<'a>,
    pub tape: &'a mut Tape,
    /// Per output; `None` where nothing depends on it.
    pub gradients: Vec<Option<String>>,
}

impl<'a> Step<'a> {
    /// Name of an input; empty if it is left out.
    fn input(&self, index: usize) -> &'a str {
        self.node.input.get(index).map_or("", String::as_str)
    }

    fn has_input(&self, index: usize) -> bool {
        !self.input(index).is_empty()
    }

    fn output(&self) -> &'a str {
        self.node.output.first().map_or("", String::as_str)
    }

    /// Gradient of the first output.
    fn gradient(&self) -> Result<String, String> {
        if self.gradients.iter().skip(1).any(Option::is_some) {
            return Err("its second output is used".into());
        }
        let first = self.gradients.first().cloned().flatten();
        first.ok_or_else(|| "its first output is not used".into())
    }

    /// Whether the gradient of an input is of use.
    fn wants(&self, index: usize) -> bool {
        let name = self.input(index);
        self.facts.carries_gradient(name)
    }

    /// Only the first input may depend on the image.
    fn only_first(&self) -> Result<(), String> {
        match (1..self.node.input.len()).find(|&i| self.facts.is_active(self.input(i))) {
            Some(index) => Err(format!(
                "its input `{}` depends on the image",
                self.input(index)
            )),
            None => Ok(()),
        }
    }

    fn shape_of(&self, name: &str) -> Result<Vec<usize>, String> {
        self.facts
            .shape(name)
            .ok_or_else(|| format!("the shape of `{name}` is not known"))
    }

    fn input_shape(&self, index: usize) -> Result<Vec<usize>, String> {
        self.shape_of(self.input(index))
    }

    fn output_shape(&self) -> Result<Vec<usize>, String> {
        self.shape_of(self.output())
    }

    /// The integers of an input that is the same for every image.
    fn constant_integers(&self, index: usize) -> Result<Vec<i64>, String> {
        self.facts
            .integers(self.input(index))
            .ok_or_else(|| format!("its input `{}` is not known beforehand", self.input(index)))
    }

    /// The numbers of a constant input.
    fn constant_floats(&self, index: usize) -> Result<Vec<f32>, String> {
        self.facts
            .floats(self.input(index))
            .ok_or_else(|| format!("its input `{}` is not a float constant", self.input(index)))
    }
}

/// An axis counted from the front.
fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| format!("it has no axis {axis}"))
}

/// Write the backward nodes of one forward node.
pub(super) fn differentiate(step: &mut Step) -> Rule {
    match step.node.op_type.as_deref().unwrap_or_default() {
        "Conv" => convolution::conv(step),
        "BatchNormalization" => linear::batch_normalisation(step),
        "LayerNormalization" => normalisation::layer(step),
        "InstanceNormalization" => normalisation::instance(step),
        "Gemm" => linear::gemm(step),
        "MatMul" => linear::mat_mul(step),
        "MaxPool" => pooling::max_pool(step),
        "AveragePool" => pooling::average_pool(step),
        "GlobalAveragePool" => reduction::global_average_pool(step),
        "GlobalMaxPool" => reduction::global_max_pool(step),
        "ReduceMean" => reduction::reduce(step, true),
        "ReduceSum" => reduction::reduce(step, false),
        "Softmax" => reduction::softmax(step),
        "LogSoftmax" => reduction::log_softmax(step),
        "Add" | "Sum" => elementwise::sum(step),
        "Sub" => elementwise::sub(step),
        "Mul" => elementwise::mul(step),
        "Div" => elementwise::div(step),
        "Neg" => elementwise::neg(step),
        "Relu" => elementwise::relu(step),
        "LeakyRelu" => elementwise::leaky_relu(step),
        "PRelu" => elementwise::p_relu(step),
        "Clip" => elementwise::clip(step),
        "Sigmoid" => elementwise::sigmoid(step),
        "HardSigmoid" => elementwise::hard_sigmoid(step),
        "HardSwish" => elementwise::hard_swish(step),
        "Tanh" => elementwise::tanh(step),
        "Exp" => elementwise::exp(step),
        "Erf" => elementwise::erf(step),
        "Sqrt" => elementwise::sqrt(step),
        "Pow" => elementwise::pow(step),
        "QuantizeLinear" => quantised::quantise(step),
        "DequantizeLinear" => quantised::dequantise(step),
        "Identity" => Ok(vec![(0, step.gradient()?)]),
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => layout::reshape(step),
        "Transpose" => layout::transpose(step),
        "Concat" => layout::concat(step),
        "Split" => layout::split(step),
        "Slice" => layout::slice(step),
        "Gather" => layout::gather(step),
        "Pad" => layout::pad(step),
        _ => Err("no rule for this operator".into()),
    }
}
