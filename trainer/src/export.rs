//! The trained network as an ONNX file, its batch normalisations folded into the convolutions.

use std::cell::RefCell;

use anyhow::{Context, Result};
use burn::tensor::Tensor;
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

use crate::net::{ConvNorm, Net};

/// The file. `net` must be in inference mode; its input is N×3×`side`×`side`, named `input`, its output `logits`. The
/// outputs of stem and stages are `stem`, `stage1`, `stage2`, …
pub fn onnx(net: &Net, side: usize, classes: usize) -> Result<Vec<u8>> {
    let mut file = File::default();
    file.graph.input = vec![value_info("input", &[3, side, side])];
    file.graph.output = vec![value_info("logits", &[classes])];
    file.conv("stem.conv", "input", &net.stem)?;
    file.node("Relu", "stem", &["stem.conv"], vec![]);
    let mut last = "stem".to_string();
    for (i, stage) in net.stages.iter().enumerate() {
        let name = format!("stage{}", i + 1);
        let part = |part: &str| format!("{name}.{part}");
        file.conv(&part("a.conv"), &last, &stage.a)?;
        file.node("Relu", &part("a"), &[&part("a.conv")], vec![]);
        file.conv(&part("b.conv"), &part("a"), &stage.b)?;
        file.conv(&part("skip.conv"), &last, &stage.skip)?;
        let paths = [part("b.conv"), part("skip.conv")];
        file.node("Add", &part("add"), &[&paths[0], &paths[1]], vec![]);
        file.node("Relu", &name, &[&part("add")], vec![]);
        last = name;
    }
    file.node("GlobalAveragePool", "pool", &[&last], vec![]);
    file.node("Flatten", "flat", &["pool"], vec![int("axis", 1)]);
    file.dense("logits", "flat", net)?;
    file.bytes()
}

#[derive(Default)]
struct File {
    graph: GraphProto,
}

impl File {
    fn conv(&mut self, output: &str, input: &str, layer: &ConvNorm) -> Result<()> {
        let weight = layer.conv.weight.val();
        let dims = weight.dims();
        let (gamma, beta) = (
            values(layer.norm.gamma.val())?,
            values(layer.norm.beta.val())?,
        );
        let mean = values(layer.norm.running_mean.value_sync())?;
        let variance = values(layer.norm.running_var.value_sync())?;
        let gain: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| (f64::from(*g) / (f64::from(*v) + layer.norm.epsilon).sqrt()) as f32)
            .collect();
        let each = dims[1] * dims[2] * dims[3];
        let folded: Vec<f32> = values(weight)?
            .chunks(each)
            .zip(&gain)
            .flat_map(|(filter, gain)| filter.iter().map(move |w| w * gain))
            .collect();
        let bias: Vec<f32> = (0..dims[0]).map(|k| beta[k] - mean[k] * gain[k]).collect();
        let names = [format!("{output}.weight"), format!("{output}.bias")];
        self.weight(&names[0], &dims, &folded);
        self.weight(&names[1], &[dims[0]], &bias);
        let pad = (dims[2] / 2) as i64;
        let attributes = vec![
            ints("kernel_shape", &layer.conv.kernel_size.map(|n| n as i64)),
            ints("strides", &layer.conv.stride.map(|n| n as i64)),
            ints("pads", &[pad; 4]),
        ];
        self.node("Conv", output, &[input, &names[0], &names[1]], attributes);
        Ok(())
    }

    fn dense(&mut self, output: &str, input: &str, net: &Net) -> Result<()> {
        let weight = net.classifier.weight.val();
        let dims = weight.dims();
        self.weight("classifier.weight", &dims, &values(weight)?);
        let bias = net.classifier.bias.as_ref().context("a bias is expected")?;
        self.weight("classifier.bias", &[dims[1]], &values(bias.val())?);
        let inputs = [input, "classifier.weight", "classifier.bias"];
        self.node("Gemm", output, &inputs, vec![]);
        Ok(())
    }

    fn weight(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(DataType::FLOAT),
            raw_data: Some(RefCell::new(raw)),
            name: Some(name.into()),
            ..TensorProto::default()
        });
    }

    fn node(&mut self, op: &str, output: &str, inputs: &[&str], attribute: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            name: Some(output.into()),
            op_type: Some(op.into()),
            input: inputs.iter().map(|s| (*s).to_string()).collect(),
            output: vec![output.into()],
            attribute,
            domain: None,
        });
    }

    fn bytes(self) -> Result<Vec<u8>> {
        let bytes = ModelProto {
            ir_version: Some(8),
            producer_name: Some(env!("CARGO_PKG_NAME").into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(13),
            }],
            ..ModelProto::default()
        }
        .write_buf()?;
        Ok(bytes)
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .map_err(|e| anyhow::anyhow!("weights are not float32: {e:?}"))
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        i: Some(value),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ints: values.to_vec(),
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    }
}

/// A float tensor with an open batch.
fn value_info(name: &str, sizes: &[usize]) -> ValueInfoProto {
    let batch = Dimension {
        dim_value: None,
        dim_param: Some("batch".into()),
    };
    let rest = sizes.iter().map(|&size| Dimension {
        dim_value: Some(size as i64),
        dim_param: None,
    });
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(DataType::FLOAT),
                shape: Some(TensorShapeProto {
                    dim: [batch].into_iter().chain(rest).collect(),
                }),
            }),
            sequence: None,
        }),
    }
}
