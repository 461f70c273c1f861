//! Small ONNX networks and images built in memory, for tests.

use std::cell::RefCell;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

/// Builds an ONNX file node by node. Weights are pseudo-random but always the same. Every method that adds a node
/// returns the name of its output; nodes carry the name of their output, as many exporters do.
pub struct NetBuilder {
    /// The graph so far; change it freely to make faulty files.
    pub graph: GraphProto,
    state: u64,
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        i: Some(value),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    }
}

/// A list of integers as attribute.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ints: values.to_vec(),
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    }
}

/// A float attribute.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        f: Some(value),
        r#type: Some(AttributeType::FLOAT),
        ..AttributeProto::default()
    }
}

/// A text attribute.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        s: Some(value.into()),
        r#type: Some(AttributeType::STRING),
        ..AttributeProto::default()
    }
}

/// A float tensor as an input or output of a graph; `None` is a size left open.
pub fn value_info(name: &str, sizes: &[Option<usize>]) -> ValueInfoProto {
    let dim = sizes
        .iter()
        .enumerate()
        .map(|(axis, size)| Dimension {
            dim_value: size.map(|s| s as i64),
            dim_param: size.is_none().then(|| format!("d{axis}")),
        })
        .collect();
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(DataType::FLOAT),
                shape: Some(TensorShapeProto { dim }),
            }),
            sequence: None,
        }),
    }
}

impl NetBuilder {
    /// A network with the float input `input` of these sizes (`None`: left open), batch first.
    pub fn new(sizes: [Option<usize>; 4]) -> Self {
        Self {
            graph: GraphProto {
                input: vec![value_info("input", &sizes)],
                ..GraphProto::default()
            },
            state: 1,
        }
    }

    /// A network with an open batch and an input of `c`×`side`×`side`.
    pub fn square(c: usize, side: usize) -> Self {
        Self::new([None, Some(c), Some(side), Some(side)])
    }

    fn random(&mut self) -> f32 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Add an initialiser with these bytes.
    pub fn raw_weight(&mut self, name: &str, dims: &[usize], data_type: DataType, raw: Vec<u8>) {
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(data_type),
            raw_data: Some(RefCell::new(raw)),
            name: Some(name.into()),
            ..TensorProto::default()
        });
    }

    /// Add a float initialiser.
    pub fn weight(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw_weight(name, dims, DataType::FLOAT, raw);
    }

    /// Add a float initialiser with values in ±`scale`.
    pub fn random_weight(&mut self, name: &str, dims: &[usize], scale: f32) {
        let values: Vec<f32> = (0..dims.iter().product())
            .map(|_| self.random() * scale)
            .collect();
        self.weight(name, dims, &values);
    }

    /// Add a list of integers.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw_weight(name, &[values.len()], DataType::INT64, raw);
    }

    /// Add any operator with one output.
    pub fn node(
        &mut self,
        op: &str,
        output: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> String {
        self.graph.node.push(NodeProto {
            name: Some(output.into()),
            op_type: Some(op.into()),
            input: inputs.iter().map(|s| (*s).to_string()).collect(),
            output: vec![output.into()],
            attribute,
            domain: None,
        });
        output.to_string()
    }

    /// Convolution of odd kernel `k`, padded to keep the size, with bias.
    pub fn conv(
        &mut self,
        output: &str,
        input: &str,
        channels: (usize, usize),
        k: usize,
        stride: i64,
        group: usize,
    ) -> String {
        let (c_in, c_out) = channels;
        let (weight, bias) = (format!("{output}.w"), format!("{output}.b"));
        let fan_in = (c_in / group * k * k) as f32;
        self.random_weight(&weight, &[c_out, c_in / group, k, k], (6.0 / fan_in).sqrt());
        self.random_weight(&bias, &[c_out], 0.1);
        let pad = (k / 2) as i64;
        let attribute = vec![
            ints("kernel_shape", &[k as i64, k as i64]),
            ints("strides", &[stride, stride]),
            ints("pads", &[pad; 4]),
            int("group", group as i64),
        ];
        self.node("Conv", output, &[input, &weight, &bias], attribute)
    }

    /// ReLU.
    pub fn relu(&mut self, output: &str, input: &str) -> String {
        self.node("Relu", output, &[input], vec![])
    }

    /// Sum of two tensors.
    pub fn add(&mut self, output: &str, a: &str, b: &str) -> String {
        self.node("Add", output, &[a, b], vec![])
    }

    /// 2×2 max pooling.
    pub fn max_pool(&mut self, output: &str, input: &str) -> String {
        let attribute = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        self.node("MaxPool", output, &[input], attribute)
    }

    /// Batch normalisation with made-up statistics.
    pub fn batch_norm(&mut self, output: &str, input: &str, channels: usize) -> String {
        let names = ["scale", "shift", "mean", "var"].map(|part| format!("{output}.{part}"));
        for (name, centre) in names.iter().zip([1.0, 0.0, 0.0, 1.5]) {
            let values: Vec<f32> = (0..channels)
                .map(|_| centre + 0.4 * self.random())
                .collect();
            self.weight(name, &[channels], &values);
        }
        let inputs = [input, &names[0], &names[1], &names[2], &names[3]];
        self.node("BatchNormalization", output, &inputs, vec![])
    }

    /// Global average pooling, flattening and a fully connected layer; the names are `pool`, `flat` and `logits`.
    pub fn classifier(&mut self, input: &str, channels: usize, classes: usize) {
        self.node("GlobalAveragePool", "pool", &[input], vec![]);
        self.node("Flatten", "flat", &["pool"], vec![int("axis", 1)]);
        self.random_weight("fc.w", &[classes, channels], 1.0);
        self.random_weight("fc.b", &[classes], 0.1);
        let transposed = vec![int("transB", 1)];
        self.node("Gemm", "logits", &["flat", "fc.w", "fc.b"], transposed);
        self.graph.output = vec![value_info("logits", &[None, Some(classes)])];
    }

    /// Quantise to signed bytes and back; adds `{name}_q` and `{name}_dq` and returns the latter.
    pub fn quantise(&mut self, name: &str, input: &str, scale: f32) -> String {
        let (s, z) = (format!("{name}_s"), format!("{name}_z"));
        self.weight(&s, &[], &[scale]);
        self.raw_weight(&z, &[], DataType::INT8, vec![0]);
        let q = self.node(
            "QuantizeLinear",
            &format!("{name}_q"),
            &[input, &s, &z],
            vec![],
        );
        self.node(
            "DequantizeLinear",
            &format!("{name}_dq"),
            &[&q, &s, &z],
            vec![],
        )
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        ModelProto {
            ir_version: Some(8),
            graph: Some(self.graph.clone()),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(13),
            }],
            ..ModelProto::default()
        }
        .write_buf()
        .expect("writing to memory does not fail")
    }
}

/// A residual classifier of 5 classes on 3×`side`×`side`: `stem`, `stem.relu`, a residual block (`block.a`,
/// `block.a.relu`, `block.b`, `block.add`, `block`), a strided depthwise-separable pair (`dw`, `pw`, `pw.relu`), `pool`,
/// `flat`, `logits`.
pub fn residual_net(side: usize) -> NetBuilder {
    let mut net = NetBuilder::square(3, side);
    net.conv("stem", "input", (3, 8), 3, 1, 1);
    net.relu("stem.relu", "stem");
    net.conv("block.a", "stem.relu", (8, 8), 3, 1, 1);
    net.relu("block.a.relu", "block.a");
    net.conv("block.b", "block.a.relu", (8, 8), 1, 1, 1);
    net.add("block.add", "block.b", "stem.relu");
    net.relu("block", "block.add");
    net.conv("dw", "block", (8, 8), 3, 2, 8);
    net.conv("pw", "dw", (8, 12), 1, 1, 1);
    net.relu("pw.relu", "pw");
    net.classifier("pw.relu", 12, 5);
    net
}

/// Values in −1..1 that differ from place to place.
pub fn pattern(shape: &[usize]) -> crate::tensor::Tensor {
    let data = (0..shape.iter().product::<usize>())
        .map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0)
        .collect();
    crate::tensor::Tensor {
        shape: shape.to_vec(),
        data,
    }
}

/// A PNG file of the given size with `colour(x, y)` at each pixel.
pub fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(colour(x, y)));
    let mut bytes = Vec::new();
    picture
        .write_to(
            &mut std::io::Cursor::new(&mut bytes),
            image::ImageFormat::Png,
        )
        .expect("writing to memory does not fail");
    bytes
}
