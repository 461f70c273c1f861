//! Dense linear algebra behind the codec: matrix products (`rten-gemm`, the kernels of the inference engine) and the
//! symmetric eigenproblem (`nalgebra`). Nothing else in the codec knows these crates.

use rten_gemm::{
    BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedAMatrix, PackedBMatrix,
};
use rten_tensor::NdTensorView;

/// A constant left-hand matrix (`rows × cols`, row-major), packed once for many products.
pub struct LeftMatrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
    packed: PackedAMatrix<f32>,
}

/// A constant right-hand matrix (`rows × cols`, row-major), packed once for many products.
pub struct RightMatrix {
    cols: usize,
    rows: usize,
    packed: PackedBMatrix<f32>,
}

thread_local! {
    // The executor only holds the kernel chosen for this CPU; one per thread avoids sharing a `dyn Kernel`.
    static GEMM: GemmExecutor = GemmExecutor::new();
}

fn view(data: &[f32], rows: usize, cols: usize) -> NdTensorView<'_, f32, 2> {
    NdTensorView::from_data([rows, cols], data)
}

impl LeftMatrix {
    /// Pack `data`, row-major `rows × cols`.
    pub fn new(data: Vec<f32>, rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix data and shape agree");
        let packed = GEMM.with(|g| g.prepack_a(view(&data, rows, cols)));
        Self {
            rows,
            cols,
            data,
            packed,
        }
    }

    /// `out = self · x + bias` with `x` of shape `cols × n` and one bias per row.
    pub fn product(&self, x: &[f32], n: usize, bias: &[f32], out: &mut [f32]) {
        self.product_leading(self.cols, x, n, bias, out);
    }

    /// As [`Self::product`], with only the first `used` columns of the matrix (and rows of `x`).
    pub fn product_leading(&self, used: usize, x: &[f32], n: usize, bias: &[f32], out: &mut [f32]) {
        assert!(used <= self.cols && bias.len() == self.rows);
        let whole = view(&self.data, self.rows, self.cols);
        let a = if used == self.cols {
            GemmInputA::Packed(&self.packed)
        } else {
            GemmInputA::Unpacked(whole.slice((.., ..used)))
        };
        GEMM.with(|g| {
            g.gemm(
                &mut out[..self.rows * n],
                a,
                GemmInputB::Unpacked(view(&x[..used * n], used, n)),
                GemmOptions {
                    bias: Some(BiasVector::Column(bias)),
                    ..Default::default()
                },
            )
        })
        .expect("shapes were checked above");
    }
}

impl RightMatrix {
    /// Pack `data`, row-major `rows × cols`.
    pub fn new(data: &[f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix data and shape agree");
        let packed = GEMM.with(|g| g.prepack_b(view(data, rows, cols)));
        Self { rows, cols, packed }
    }

    /// `out = x · self` with `x` of shape `n × rows`.
    pub fn product(&self, x: &[f32], n: usize, out: &mut [f32]) {
        GEMM.with(|g| {
            g.gemm(
                &mut out[..n * self.cols],
                GemmInputA::Unpacked(view(&x[..n * self.rows], n, self.rows)),
                GemmInputB::Packed(&self.packed),
                GemmOptions::default(),
            )
        })
        .expect("shapes were checked above");
    }
}

/// Transpose of a row-major `rows × cols` matrix.
pub fn transpose(matrix: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows * cols];
    for (r, row) in matrix.chunks_exact(cols).enumerate() {
        for (c, &v) in row.iter().enumerate() {
            out[c * rows + r] = v;
        }
    }
    out
}

/// `x · xᵀ` for `x` of shape `rows × cols`.
pub fn gram(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows * rows];
    let x = view(x, rows, cols);
    GEMM.with(|g| {
        g.gemm(
            &mut out,
            GemmInputA::Unpacked(x),
            GemmInputB::Unpacked(x.transposed()),
            GemmOptions::default(),
        )
    })
    .expect("shapes agree by construction");
    out
}

/// `xᵀ · x` for `x` of shape `rows × cols`.
pub fn gram_columns(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; cols * cols];
    let x = view(x, rows, cols);
    GEMM.with(|g| {
        g.gemm(
            &mut out,
            GemmInputA::Unpacked(x.transposed()),
            GemmInputB::Unpacked(x),
            GemmOptions::default(),
        )
    })
    .expect("shapes agree by construction");
    out
}

/// Eigenvectors of a symmetric matrix, as rows, by falling eigenvalue, and the eigenvalues.
///
/// The sign of each vector is fixed (largest entry positive) so that the result is a function of the matrix alone.
pub fn symmetric_eigen(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let eigen = nalgebra::DMatrix::from_row_slice(n, n, matrix).symmetric_eigen();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let mut vectors = Vec::with_capacity(n * n);
    let mut values = Vec::with_capacity(n);
    for &i in &order {
        let column = eigen.eigenvectors.column(i);
        let peak = column.iter().fold(
            0.0f64,
            |best, &v| if v.abs() > best.abs() { v } else { best },
        );
        let sign = if peak < 0.0 { -1.0 } else { 1.0 };
        vectors.extend(column.iter().map(|v| v * sign));
        values.push(eigen.eigenvalues[i]);
    }
    (vectors, values)
}

/// A linear map that decorrelates, and the way back: `x ≈ synthesisᵀ · (analysis · x)`.
pub struct Basis {
    /// `n × n`, row = analysis function, by falling variance of what it yields.
    pub analysis: Vec<f64>,
    /// `n × n`, row = synthesis function.
    pub synthesis: Vec<f64>,
}

/// Share of the mean that is added to every eigenvalue of a weighting matrix: directions that the calibration images
/// never pushed must not be free.
const WEIGHT_FLOOR: f64 = 1e-2;

/// Eigenvectors of the covariance of `M x`, with `M = W^(exponent/2)`: a coefficient's error counts as much as `W` says.
/// Without weights, or with exponent 0, the plain KLT.
pub fn weighted_klt(covariance: &[f64], weights: Option<&[f64]>, exponent: f64, n: usize) -> Basis {
    let trace = weights.map_or(0.0, |w| (0..n).map(|i| w[i * n + i]).sum::<f64>());
    let Some(weights) = weights.filter(|_| exponent > 0.0 && trace.is_finite() && trace > 0.0)
    else {
        let (vectors, _) = symmetric_eigen(covariance, n);
        return Basis {
            analysis: vectors.clone(),
            synthesis: vectors,
        };
    };
    let (vectors, values) = symmetric_eigen(weights, n);
    let vectors = nalgebra::DMatrix::from_row_slice(n, n, &vectors);
    let power = |exponent: f64| {
        let mut scaled = vectors.clone();
        for (mut row, value) in scaled.row_iter_mut().zip(&values) {
            row *= (value.max(0.0) * n as f64 / trace + WEIGHT_FLOOR).powf(exponent);
        }
        vectors.tr_mul(&scaled)
    };
    let (root, inverse_root) = (power(exponent / 2.0), power(-exponent / 2.0));
    let covariance = nalgebra::DMatrix::from_row_slice(n, n, covariance);
    let mut weighted = &root * covariance * &root;
    // Products round; the eigensolver wants exact symmetry.
    weighted = (&weighted + weighted.transpose()) / 2.0;
    let (rotation, _) = symmetric_eigen(weighted.as_slice(), n);
    let rotation = nalgebra::DMatrix::from_row_slice(n, n, &rotation);
    let row_major = |m: nalgebra::DMatrix<f64>| m.transpose().as_slice().to_vec();
    Basis {
        analysis: row_major(&rotation * &root),
        synthesis: row_major(&rotation * &inverse_root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_match_the_definition() {
        let a: Vec<f32> = (0..12).map(|i| (i as f32 * 0.37).sin()).collect();
        let x: Vec<f32> = (0..20).map(|i| (i as f32 * 0.91).cos()).collect();
        let bias = [0.5, -1.0, 2.0];
        let left = LeftMatrix::new(a.clone(), 3, 4);
        for used in [4, 2] {
            let mut out = vec![0.0; 15];
            left.product_leading(used, &x, 5, &bias, &mut out);
            for r in 0..3 {
                for c in 0..5 {
                    let want: f32 =
                        (0..used).map(|i| a[r * 4 + i] * x[i * 5 + c]).sum::<f32>() + bias[r];
                    assert!((out[r * 5 + c] - want).abs() < 1e-5);
                }
            }
        }
        let right = RightMatrix::new(&x, 4, 5);
        let mut out = vec![0.0; 15];
        right.product(&a, 3, &mut out);
        for r in 0..3 {
            for c in 0..5 {
                let want: f32 = (0..4).map(|i| a[r * 4 + i] * x[i * 5 + c]).sum();
                assert!((out[r * 5 + c] - want).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn eigenvectors_diagonalise() {
        let n = 6;
        let b: Vec<f64> = (0..n * n).map(|i| ((i * 7 % 11) as f64).sin()).collect();
        let mut m = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                m[i * n + j] = (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum();
            }
        }
        let (vectors, values) = symmetric_eigen(&m, n);
        assert!(values.windows(2).all(|w| w[0] >= w[1]));
        for k in 0..n {
            for i in 0..n {
                let mv: f64 = (0..n).map(|j| m[i * n + j] * vectors[k * n + j]).sum();
                assert!((mv - values[k] * vectors[k * n + i]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_weighted_basis_inverts_decorrelates_and_bounds_the_weighted_error() {
        let n = 7;
        let wishart = |salt: usize| -> Vec<f64> {
            let b: Vec<f64> = (0..n * n)
                .map(|i| ((i * 7 + salt * 13) as f64 * 0.77).sin())
                .collect();
            let dot = |i: usize, j: usize| (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum();
            (0..n * n).map(|ij| dot(ij / n, ij % n)).collect()
        };
        let (covariance, weights) = (wishart(1), wishart(2));
        for exponent in [0.0, 0.5, 1.0] {
            let basis = weighted_klt(&covariance, Some(&weights), exponent, n);
            let at = |m: &[f64], i: usize, j: usize| m[i * n + j];
            for i in 0..n {
                for j in 0..n {
                    let back: f64 = (0..n)
                        .map(|k| at(&basis.synthesis, k, i) * at(&basis.analysis, k, j))
                        .sum();
                    assert!((back - f64::from(u8::from(i == j))).abs() < 1e-8);
                    let correlation: f64 = (0..n * n)
                        .map(|ab| {
                            let (a, b) = (ab / n, ab % n);
                            at(&basis.analysis, i, a) * covariance[ab] * at(&basis.analysis, j, b)
                        })
                        .sum();
                    assert!(
                        i == j || correlation.abs() < 1e-7,
                        "{exponent}: {correlation}"
                    );
                }
            }
        }
        // With exponent 1 the squared error of coefficients is the error in the metric of the weights.
        let basis = weighted_klt(&covariance, Some(&weights), 1.0, n);
        let error: Vec<f64> = (0..n).map(|i| (i as f64 * 1.3).cos()).collect();
        let trace: f64 = (0..n).map(|i| weights[i * n + i]).sum();
        let metric: f64 = (0..n * n)
            .map(|ij| {
                let floor = if ij / n == ij % n { WEIGHT_FLOOR } else { 0.0 };
                error[ij / n] * (weights[ij] * n as f64 / trace + floor) * error[ij % n]
            })
            .sum();
        let coded: f64 = basis
            .analysis
            .chunks_exact(n)
            .map(|row| {
                row.iter()
                    .zip(&error)
                    .map(|(a, e)| a * e)
                    .sum::<f64>()
                    .powi(2)
            })
            .sum();
        assert!((metric - coded).abs() < 1e-9 * metric);
    }
}
