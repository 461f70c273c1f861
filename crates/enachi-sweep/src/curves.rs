//! The curves of the profiles as rows of the dataset.

use crate::plan::StreamCurve;
use enachi_core::curve::AccuracyCurve;
use enachi_data::sweep::CurveRow;

/// Measured means beside ENACHI (14), for every stream of the profiles.
pub fn curve_rows(curves: &[StreamCurve]) -> Vec<CurveRow> {
    let mut rows = Vec::new();
    for curve in curves {
        let fitted = curve
            .surrogate
            .and_then(|fit| AccuracyCurve::fitted(&fit, curve.total_bits).ok());
        let row = |fraction: f64, accuracy: [f64; 3]| {
            let fit = curve.surrogate;
            let parameter = |value: fn(&enachi_core::profile::Surrogate) -> f64| {
                fit.as_ref().map_or(f64::NAN, value)
            };
            CurveRow {
                profile: curve.profile.clone(),
                cut: curve.cut.clone(),
                stream: curve.stream.clone(),
                fraction,
                bits: fraction * curve.total_bits,
                accuracy: accuracy[0],
                accuracy_low: accuracy[1],
                accuracy_high: accuracy[2],
                fitted: fitted
                    .as_ref()
                    .map_or(f64::NAN, |fit| fit.accuracy(fraction * curve.total_bits)),
                a0: parameter(|fit| fit.a0),
                a1: parameter(|fit| fit.a1),
                a2: parameter(|fit| fit.a2),
                floor: parameter(|fit| fit.floor),
                rmse: parameter(|fit| fit.rmse),
                max_error: parameter(|fit| fit.max_error),
            }
        };
        match &curve.measured {
            Some(measured) => rows.extend((0..measured.bits.len()).map(|c| {
                let accuracy = [
                    measured.top1[c],
                    measured.top1_low[c],
                    measured.top1_high[c],
                ];
                CurveRow {
                    bits: measured.bits[c],
                    ..row(measured.bits[c] / curve.total_bits, accuracy)
                }
            })),
            None => {
                rows.extend((0..=100).map(|percent| row(f64::from(percent) / 100.0, [f64::NAN; 3])))
            }
        }
    }
    rows
}
