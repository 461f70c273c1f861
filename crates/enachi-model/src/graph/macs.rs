//! Multiply-accumulate operations of one node, from its attributes and shapes.

use super::error::GraphError;
use super::structure::NodeDef;

/// Operators that multiply and accumulate but are not counted here.
const UNCOUNTED: [&str; 10] = [
    "Einsum",
    "LSTM",
    "GRU",
    "RNN",
    "Attention",
    "MultiHeadAttention",
    "GroupQueryAttention",
    "MatMulNBits",
    "DeformConv",
    "FusedMatMul",
];

/// Input tensors whose shape is needed to count a node's work, by position.
pub(super) fn operands(node: &NodeDef) -> &'static [usize] {
    match node.op.as_str() {
        "Conv" | "ConvInteger" | "ConvTranspose" | "Gemm" | "MatMul" | "MatMulInteger" => &[0, 1],
        "QLinearConv" | "QLinearMatMul" => &[0, 3],
        _ => &[],
    }
}

/// MACs of one run at the given shapes; 0 for operators that do not multiply and accumulate (activations, additions,
/// pooling, normalisation).
///
/// `inputs` are the shapes of the tensors named by [`operands`], `output` is the first output's.
pub(super) fn macs(
    node: &NodeDef,
    inputs: &[Vec<usize>],
    output: &[usize],
) -> Result<u64, GraphError> {
    let wrong = |reason: String| GraphError::UnsupportedOperator {
        op: node.op.clone(),
        output: node.outputs.first().cloned().unwrap_or_default(),
        reason,
    };
    let unexpected = || {
        wrong(format!(
            "its shapes {inputs:?} -> {output:?} are not as expected"
        ))
    };
    if UNCOUNTED.contains(&node.op.as_str()) {
        return Err(wrong("its multiplications cannot be counted yet".into()));
    }
    let (data, weight) = match inputs {
        [data, weight] => (data.as_slice(), weight.as_slice()),
        _ => return Ok(0),
    };
    let factors: Vec<usize> = match node.op.as_str() {
        // Each output value sums over (C_in / group) × kernel; the weight is C_out × C_in/group × kernel.
        "Conv" | "ConvInteger" | "QLinearConv" => {
            let per_output = weight.get(1..).ok_or_else(unexpected)?;
            output.iter().chain(per_output).copied().collect()
        }
        // Each input value is spread over (C_out / group) × kernel; the weight is C_in × C_out/group × kernel.
        "ConvTranspose" => {
            let per_input = weight.get(1..).ok_or_else(unexpected)?;
            data.iter().chain(per_input).copied().collect()
        }
        "Gemm" => {
            let inner = if node.int("transA", 0) == 0 { 1 } else { 0 };
            let inner = *data.get(inner).ok_or_else(unexpected)?;
            output.iter().copied().chain([inner]).collect()
        }
        "MatMul" | "MatMulInteger" | "QLinearMatMul" => {
            let inner = *data.last().ok_or_else(unexpected)?;
            output.iter().copied().chain([inner]).collect()
        }
        _ => return Ok(0),
    };
    factors
        .iter()
        .try_fold(1u64, |n, &f| n.checked_mul(f as u64))
        .ok_or_else(|| wrong("its multiplications overflow a 64-bit count".into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn node(op: &str) -> NodeDef {
        NodeDef {
            op: op.into(),
            ..NodeDef::default()
        }
    }

    /// The work of a direct convolution, counted by running its loops.
    fn convolution_by_loops(c_in: usize, c_out: usize, group: usize, k: usize, side: usize) -> u64 {
        let mut count = 0;
        for _output in 0..c_out * side * side {
            for _channel in 0..c_in / group {
                for _tap in 0..k * k {
                    count += 1;
                }
            }
        }
        count
    }

    #[test]
    fn convolutions_grouped_and_depthwise() {
        for (c_in, c_out, group, k, side) in [(3, 8, 1, 3, 5), (8, 8, 8, 3, 4), (8, 12, 4, 1, 6)] {
            let shapes = [vec![1, c_in, side, side], vec![c_out, c_in / group, k, k]];
            let counted = macs(&node("Conv"), &shapes, &[1, c_out, side, side]).unwrap();
            assert_eq!(counted, convolution_by_loops(c_in, c_out, group, k, side));
        }
    }

    #[test]
    fn products_of_matrices() {
        let shapes = [vec![1, 20], vec![20, 7]];
        assert_eq!(macs(&node("Gemm"), &shapes, &[1, 7]).unwrap(), 140);
        assert_eq!(macs(&node("MatMul"), &shapes, &[1, 7]).unwrap(), 140);
        let mut transposed = node("Gemm");
        transposed.ints.insert("transA".into(), vec![1]);
        let shapes = [vec![20, 3], vec![20, 7]];
        assert_eq!(macs(&transposed, &shapes, &[3, 7]).unwrap(), 420);
    }

    #[test]
    fn a_transposed_convolution_works_per_input_value() {
        let shapes = [vec![1, 4, 5, 5], vec![4, 6, 2, 2]];
        let counted = macs(&node("ConvTranspose"), &shapes, &[1, 6, 10, 10]).unwrap();
        assert_eq!(counted, 4 * 25 * 6 * 4);
    }

    #[test]
    fn overflow_and_uncounted_operators_are_errors() {
        let huge = vec![1, usize::MAX, usize::MAX, 2];
        assert!(macs(&node("Conv"), &[huge.clone(), huge.clone()], &huge).is_err());
        assert!(macs(&node("LSTM"), &[], &[1, 1]).is_err());
        assert_eq!(macs(&node("Relu"), &[], &[1, 1]).unwrap(), 0);
    }
}
