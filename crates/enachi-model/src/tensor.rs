//! The one value type that crosses module borders: a dense `f32` tensor.

/// Dense `f32` tensor, row-major. The leading dimension is the batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Sizes, slowest dimension first, e.g. `[1, 3, 224, 224]`.
    pub shape: Vec<usize>,
    /// `shape` product values.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            data: vec![0.0; shape.iter().product()],
        }
    }

    /// Size of the leading dimension; 1 for a scalar.
    pub fn batch(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Sample `index` of the batch as a tensor of batch 1.
    ///
    /// # Panics
    /// If `index` is not below [`Tensor::batch`].
    pub fn sample(&self, index: usize) -> Self {
        let each = self.data.len() / self.batch().max(1);
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = 1;
        }
        Self {
            shape,
            data: self.data[index * each..(index + 1) * each].to_vec(),
        }
    }

    /// Join tensors along the leading dimension. `None` if there are none or their other dimensions differ.
    pub fn stack(parts: &[Tensor]) -> Option<Self> {
        let first = parts.first()?;
        let inner = first.shape.get(1..)?;
        if parts.iter().any(|p| p.shape.get(1..) != Some(inner)) {
            return None;
        }
        let mut shape = first.shape.clone();
        shape[0] = parts.iter().map(Tensor::batch).sum();
        let data = parts.iter().flat_map(|p| p.data.iter().copied()).collect();
        Some(Self { shape, data })
    }
}
