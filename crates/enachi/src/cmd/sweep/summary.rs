//! The summary of a sweep: tables with block charts, JSON, CSV.

use comfy_table::Cell;
use enachi_data::sweep::{
    AxisInfo, AxisValues, Dataset, OracleRow, PairRow, PointRow, SweepInfo, of_point,
};
use serde_json::{Map, Value, json};

use crate::cmd::simulate::{align_right, plain_table};

/// Points in one table; more get a table of their own.
const COLUMNS: usize = 10;

/// Every sweep as tables: accuracy, energy, and the difference to the first policy.
pub fn tables(data: &Dataset) -> String {
    let mut text = String::new();
    for sweep in &data.manifest.sweeps {
        text += &format!("{}\n", sweep.title);
        let points: Vec<u64> = (sweep.first_point..sweep.first_point + sweep.points).collect();
        // The last axis runs along the columns; what the others are set to stands above.
        let fastest = sweep.axes.last().map_or(1, |axis| axis.values.len());
        for block in points.chunks(fastest.max(1)) {
            if sweep.axes.len() > 1 {
                let labels = label(sweep, block[0] - sweep.first_point);
                text += &format!("\n{}\n", labels[..labels.len() - 1].join(", "));
            }
            for part in block.chunks(COLUMNS) {
                text += &part_tables(data, sweep, part);
            }
        }
        text += "\n";
    }
    text += &notes(data);
    text
}

fn part_tables(data: &Dataset, sweep: &SweepInfo, points: &[u64]) -> String {
    let row = |policy: &str, point: u64| {
        let mut rows = of_point(&data.points, point, |row| row.point).iter();
        let found = rows.find(|row| row.policy == policy);
        found.filter(|row| row.error.is_none())
    };
    let heads: Vec<String> = points
        .iter()
        .map(|point| {
            label(sweep, point - sweep.first_point)
                .pop()
                .unwrap_or_else(|| "all".into())
        })
        .collect();
    let figure =
        |title: &str, value: &dyn Fn(&PointRow) -> f64, digits: usize, chart: Option<[f64; 2]>| {
            let mut table = plain_table();
            let over = sweep
                .axes
                .last()
                .map_or(String::new(), |axis| format!("\nby {}", axis.label));
            let mut head = vec![title.to_owned() + &over];
            head.extend(heads.clone());
            if points.len() > 1 {
                head.push(String::new());
            }
            table.set_header(head);
            for policy in &sweep.policies {
                let values: Vec<Option<f64>> = points
                    .iter()
                    .map(|point| row(policy, *point).map(value))
                    .collect();
                let mut cells = vec![Cell::new(policy)];
                cells.extend(points.iter().zip(&values).map(|(point, value)| {
                    let some = row(policy, *point).is_some_and(|row| lacks_seeds(data, row));
                    let mark = if some { SOME_SEEDS } else { "" };
                    Cell::new(value.map_or("failed".into(), |v| format!("{v:.digits$}{mark}")))
                }));
                if points.len() > 1 {
                    cells.push(Cell::new(blocks(&values, chart)));
                }
                table.add_row(cells);
            }
            align_right(&mut table, 1..points.len() + 1);
            format!("\n{}\n", table.trim_fmt())
        };
    let accuracy = |row: &PointRow| row.accuracy * 100.0;
    let settled = |row: &PointRow| row.energy_settled_j * 1e3;
    let all = |value: &dyn Fn(&PointRow) -> f64| {
        let rows = sweep
            .policies
            .iter()
            .flat_map(|policy| points.iter().filter_map(move |point| row(policy, *point)));
        let mut values: Vec<f64> = rows.map(value).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        // A policy that fails altogether must not make all others look alike: the lower quarter shares the lowest block.
        let (low, high) = (*values.get(values.len() / 4)?, *values.last()?);
        let low = if low < high { low } else { values[0] };
        (low < high).then_some([low, high])
    };
    let mut text = figure("accuracy, %", &accuracy, 1, all(&accuracy));
    text += &figure("settled energy, mJ", &settled, 0, all(&settled));
    if sweep.policies.len() > 1 {
        text += &difference_table(data, sweep, points, &heads);
    }
    text + &oracle_table(data, sweep, points, &heads)
}

/// Share of the upper bound, at the points where it was computed.
fn oracle_table(data: &Dataset, sweep: &SweepInfo, points: &[u64], heads: &[String]) -> String {
    let rows = |point: u64| of_point(&data.oracle, point, |row| row.point);
    let bounded = |point: u64| !rows(point).is_empty();
    let (points, heads): (Vec<u64>, Vec<&String>) = points
        .iter()
        .zip(heads)
        .filter(|(point, _)| bounded(**point))
        .unzip();
    if points.is_empty() {
        return String::new();
    }
    let mut table = plain_table();
    let head = ["share of the\nupper bound, %".to_owned()].into_iter();
    table.set_header(head.chain(heads.into_iter().cloned()));
    for policy in &sweep.policies {
        let share = |point: &u64| {
            let of = |row: &&OracleRow| row.policy == *policy;
            let row = rows(*point).iter().find(of);
            let text = row.map(|r| format!("{:.1}", r.share * 100.0));
            Cell::new(text.unwrap_or_else(|| "–".into()))
        };
        table.add_row(
            [Cell::new(policy)]
                .into_iter()
                .chain(points.iter().map(share)),
        );
    }
    align_right(&mut table, 1..points.len() + 1);
    format!("\n{}\n", table.trim_fmt())
}

fn difference_table(data: &Dataset, sweep: &SweepInfo, points: &[u64], heads: &[String]) -> String {
    let first = &sweep.policies[0];
    let mut table = plain_table();
    let mut head = vec![format!("accuracy less\n{first}'s, points")];
    head.extend_from_slice(heads);
    table.set_header(head);
    for policy in &sweep.policies[1..] {
        let mut cells = vec![Cell::new(policy)];
        cells.extend(points.iter().map(|point| {
            let of = |pair: &&PairRow| (&pair.policy, &pair.other) == (policy, first);
            let pairs = of_point(&data.pairs, *point, |pair| pair.point);
            Cell::new(pairs.iter().find(of).map_or("–".into(), |pair| {
                let half = (pair.accuracy_difference_high - pair.accuracy_difference_low) / 2.0;
                format!(
                    "{:+.1} ±{:.1}",
                    pair.accuracy_difference * 100.0,
                    half * 100.0
                )
            }))
        }));
        table.add_row(cells);
    }
    align_right(&mut table, 1..points.len() + 1);
    format!("\n{}\n", table.trim_fmt())
}

/// One block per value, from `▁` at or below the lower end of `range` to `█` at its upper; all policies of a table share it.
fn blocks(values: &[Option<f64>], range: Option<[f64; 2]>) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let block = |value: &Option<f64>| match (value, range) {
        (Some(value), Some([low, high])) if value.is_finite() => {
            let level = ((value - low) / (high - low)).clamp(0.0, 1.0) * (BLOCKS.len() - 1) as f64;
            BLOCKS[level.round() as usize]
        }
        (Some(_), None) => BLOCKS[BLOCKS.len() / 2],
        _ => ' ',
    };
    values.iter().map(block).collect()
}

fn notes(data: &Dataset) -> String {
    let rows = || data.points.iter().filter(|row| row.error.is_none());
    let widest = rows()
        .map(|row| (row.accuracy_high - row.accuracy_low) / 2.0)
        .fold(0.0, f64::max);
    let mut text = format!(
        "accuracy: right answers; 95 % intervals are at most ±{:.1} points wide\n\
         settled energy: mean per device and frame after the warm-up\n\
         accuracy less ...: paired, in the same worlds; ± half the 95 % interval\n",
        widest * 100.0
    );
    if let Some(row) = data.oracle.first() {
        text += &format!(
            "upper bound: for the energy that each policy spent, gains and answers known (docs/oracle.md); first {} frames of {} seed(s)\n",
            row.frames, row.seeds
        );
    }
    if rows().any(|row| lacks_seeds(data, row)) {
        text += &format!(
            "{SOME_SEEDS} some seeds failed; over the others (how many: column seeds of --format csv)\n"
        );
    }
    let manifest = &data.manifest;
    text += &format!("{} points, {} runs", manifest.points, manifest.runs);
    if manifest.failed_runs > 0 {
        text += &format!(", {} failed:\n", manifest.failed_runs);
        const SHOWN: usize = 10;
        for failure in manifest.failures.iter().take(SHOWN) {
            let seed = failure
                .seed
                .map_or(String::new(), |seed| format!(", seed {seed}"));
            text += &format!(
                "  {} point {}, {}{seed}: {}\n",
                failure.sweep, failure.point, failure.policy, failure.error
            );
        }
        if manifest.failures.len() > SHOWN {
            text += &format!(
                "  and {} more, in sweep.json\n",
                manifest.failures.len() - SHOWN
            );
        }
    } else {
        text.push('\n');
    }
    text
}

/// What each axis is set to at a point, counted from the sweep's first.
fn label(sweep: &SweepInfo, mut point: u64) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for axis in sweep.axes.iter().rev() {
        let n = axis.values.len().max(1) as u64;
        labels.push(axis_label(axis, (point % n) as usize));
        point /= n;
    }
    labels.reverse();
    labels
}

/// All keys that the axis sets in step.
fn axis_label(axis: &AxisInfo, index: usize) -> String {
    let label = |(key, value): (usize, &Value)| match value {
        Value::Number(number) => match number.as_f64() {
            Some(value) => with_unit(value, &axis.unit_of(key)),
            None => number.to_string(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let labels: Vec<String> = axis.values[index].iter().enumerate().map(label).collect();
    labels.join(" / ")
}

/// Marks figures of a policy some of whose seeds failed.
const SOME_SEEDS: &str = "*";

/// Whether some of its seeds failed; where all did, it has no figures.
fn lacks_seeds(data: &Dataset, row: &PointRow) -> bool {
    let failures = of_point(&data.manifest.failures, row.point, |failure| failure.point);
    failures
        .iter()
        .any(|failure| failure.policy == row.policy && failure.seed.is_some())
}

/// 100 ms for 0.1 s.
fn with_unit(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 5] = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m")];
    if unit.is_empty() {
        return short(value);
    }
    let prefix = PREFIXES
        .iter()
        .find(|(size, _)| value.abs() >= *size * 0.999_999);
    match prefix {
        Some((size, prefix)) if value != 0.0 => format!("{} {prefix}{unit}", short(value / size)),
        _ => format!("{} {unit}", short(value)),
    }
}

/// Four digits, no needless zeros.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// What the axes set at row `index` of the points.
fn axes_of(data: &Dataset, index: usize) -> Map<String, Value> {
    let value = |values: &AxisValues| match values {
        AxisValues::Number(values) => values[index].map(Value::from),
        AxisValues::Text(values) => values[index].clone().map(Value::from),
    };
    let axes = data.axes.iter();
    axes.filter_map(|axis| Some((axis.key.clone(), value(&axis.values)?)))
        .collect()
}

/// Manifest, points and pairs.
pub fn json(data: &Dataset) -> anyhow::Result<String> {
    let mut points = Vec::with_capacity(data.points.len());
    for (index, row) in data.points.iter().enumerate() {
        let mut point = serde_json::to_value(row)?;
        point["axes"] = axes_of(data, index).into();
        points.push(point);
    }
    let manifest = &data.manifest;
    let all = json!({
        "name": manifest.name,
        "sweeps": manifest.sweeps,
        "runs": manifest.runs,
        "failed_runs": manifest.failed_runs,
        "failures": manifest.failures,
        "points": points,
        "pairs": serde_json::to_value(&data.pairs)?,
        "oracle": serde_json::to_value(&data.oracle)?,
    });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

/// The points, one a line, with the columns of `points.parquet`.
pub fn csv(data: &Dataset) -> anyhow::Result<String> {
    let (keys, figures) = PointRow::COLUMNS.split_at(2);
    let axes = data.axes.iter().map(|axis| format!("axis.{}", axis.key));
    let head: Vec<String> = keys
        .iter()
        .map(|s| s.to_string())
        .chain(axes)
        .chain(figures.iter().map(|s| s.to_string()))
        .collect();
    let mut text = head.join(",") + "\n";
    for (index, row) in data.points.iter().enumerate() {
        let row = serde_json::to_value(row)?;
        let set = axes_of(data, index);
        let axes = data
            .axes
            .iter()
            .map(|axis| set.get(&axis.key).unwrap_or(&Value::Null));
        let cells = keys
            .iter()
            .map(|key| &row[*key])
            .chain(axes)
            .chain(figures.iter().map(|key| &row[*key]));
        let cells: Vec<String> = cells.map(csv_cell).collect();
        text += &(cells.join(",") + "\n");
    }
    Ok(text)
}

fn csv_cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_have_their_unit() {
        for (value, unit, text) in [
            (0.1, "s", "100 ms"),
            (0.125, "s", "125 ms"),
            (1e6, "Hz", "1 MHz"),
            (1.5e6, "Hz", "1.5 MHz"),
            (5.0, "", "5"),
            (0.3, "", "0.3"),
            (1000.0, "", "1000"),
            (0.0, "W", "0 W"),
        ] {
            assert_eq!(with_unit(value, unit), text);
        }
    }

    #[test]
    fn keys_in_step_are_all_named() {
        let axis = AxisInfo {
            keys: vec!["devices.0.count".into(), "channel.bandwidth_hz".into()],
            values: vec![vec![json!(1), json!(5e5)], vec![json!(1), json!(1e6)]],
            ..AxisInfo::default()
        };
        let labels = [0, 1].map(|index| axis_label(&axis, index));
        assert_eq!(labels, ["1 / 500 kHz", "1 / 1 MHz"]);
    }

    #[test]
    fn blocks_share_a_range() {
        let values = [Some(0.0), Some(5.0), Some(10.0), None];
        assert_eq!(blocks(&values, Some([0.0, 10.0])), "▁▅█ ");
        assert_eq!(blocks(&[Some(3.0)], None), "▅");
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        assert_eq!(csv_cell(&"a,\"b\"".into()), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_cell(&Value::Null), "");
        assert_eq!(csv_cell(&json!(0.25)), "0.25");
    }
}
