//! Sliding windows of convolutions and pools.

use rten_onnx::onnx::NodeProto;

use crate::gradient::attributes::{ints, text};

/// How windows lie on the spatial axes; one entry per axis.
pub(super) struct Window {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Padding before the first element.
    pub begin: Vec<usize>,
    /// Padding behind the last element.
    pub end: Vec<usize>,
}

impl Window {
    /// `input` and `output` are spatial sizes.
    pub fn new(
        node: &NodeProto,
        kernel: &[usize],
        input: &[usize],
        output: &[usize],
    ) -> Result<Self, String> {
        let axes = kernel.len();
        let list = |name: &str, count: usize, default: usize| match ints(node, name) {
            None => Ok(vec![default; count]),
            Some(values) if values.len() == count => values
                .iter()
                .map(|&v| usize::try_from(v).map_err(|_| format!("its {name} are {values:?}")))
                .collect(),
            Some(values) => Err(format!("its {name} are {values:?}")),
        };
        if axes == 0 || input.len() != axes || output.len() != axes {
            return Err("its shapes do not agree".into());
        }
        let (strides, dilations) = (list("strides", axes, 1)?, list("dilations", axes, 1)?);
        let pads = list("pads", 2 * axes, 0)?;
        let (mut begin, mut end) = (pads[..axes].to_vec(), pads[axes..].to_vec());
        if text(node, "auto_pad").is_some_and(|how| how.starts_with("SAME")) {
            // The engine gives the odd element to the end for SAME_LOWER too, and what it computes is differentiated.
            for axis in 0..axes {
                let span =
                    (output[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
                let total = span.saturating_sub(input[axis]);
                begin[axis] = total / 2;
                end[axis] = total - total / 2;
            }
        }
        Ok(Self {
            kernel: kernel.to_vec(),
            strides,
            dilations,
            begin,
            end,
        })
    }

    /// Elements from the first to the last one that a window covers along an axis.
    pub fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }
}
