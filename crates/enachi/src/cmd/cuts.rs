//! `enachi cuts`: where an ONNX network can be split, and what each place costs.

use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table};
use enachi_core::profile::CutKind;
use enachi_model::graph::{Cut, Graph, LoadOptions};
use serde::Serialize;

/// Arguments of `enachi cuts`.
#[derive(clap::Args)]
pub struct Args {
    /// ONNX file of a feed-forward image classifier.
    model: PathBuf,
    /// Input sizes where the file leaves them open, e.g. 1,3,224,224.
    #[arg(long, value_name = "1,C,H,W", value_delimiter = ',', num_args = 1)]
    input_shape: Option<Vec<usize>>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Only the input, one cut per stage of the network (what `enachi profile` measures by default), and the output.
    #[arg(long)]
    blocks: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let options = LoadOptions {
        input_shape: args.input_shape,
    };
    let graph =
        Graph::load(&args.model, &options).with_context(|| format!("{}", args.model.display()))?;
    let mut cuts: Vec<&Cut> = graph.cuts().iter().collect();
    if args.blocks {
        let stages = graph.stage_cuts();
        cuts.retain(|cut| {
            cut.kind != CutKind::Feature || stages.iter().any(|s| s.index == cut.index)
        });
    }
    match args.format {
        Format::Table => print(&table(&graph, &cuts)),
        Format::Json => print(&serde_json::to_string_pretty(&Listing::new(&graph, &cuts))?),
        Format::Csv => print(csv(&graph, &cuts).trim_end()),
    }
    Ok(())
}

/// Print without failing when the reader closes the pipe early.
fn print(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[derive(Serialize)]
struct Listing {
    model_sha256: String,
    total_macs: u64,
    classes: usize,
    cuts: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    index: usize,
    name: String,
    kind: CutKind,
    shape: Vec<usize>,
    maps: usize,
    height: usize,
    width: usize,
    elements: usize,
    dtype: &'static str,
    bytes: usize,
    splittable: bool,
    head_macs: u64,
    tail_macs: u64,
}

impl Listing {
    fn new(graph: &Graph, cuts: &[&Cut]) -> Self {
        Self {
            model_sha256: graph.sha256().to_string(),
            total_macs: graph.total_macs(),
            classes: graph.classes(),
            cuts: cuts.iter().map(|cut| Row::new(cut)).collect(),
        }
    }
}

impl Row {
    fn new(cut: &Cut) -> Self {
        Self {
            index: cut.index,
            name: cut.name.clone(),
            kind: cut.kind,
            shape: cut.shape.clone(),
            maps: cut.maps,
            height: cut.height,
            width: cut.width,
            elements: cut.elements,
            dtype: cut.element.name(),
            bytes: cut.bytes,
            splittable: cut.splittable,
            head_macs: cut.head_macs,
            tail_macs: cut.tail_macs,
        }
    }
}

/// Share of the network's MACs that lies before the cut, 0..=1.
fn share(graph: &Graph, cut: &Cut) -> f64 {
    cut.head_macs as f64 / graph.total_macs().max(1) as f64
}

fn sizes(cut: &Cut) -> String {
    let sizes: Vec<String> = cut.shape.iter().map(ToString::to_string).collect();
    sizes.join("x")
}

fn note(cut: &Cut) -> &'static str {
    match cut.kind {
        CutKind::Input => "input",
        CutKind::Local => "all local",
        CutKind::Feature if !cut.splittable => "not splittable",
        CutKind::Feature => "",
    }
}

fn table(graph: &Graph, cuts: &[&Cut]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "#",
        "tensor",
        "shape",
        "maps",
        "elements",
        "type",
        "bytes",
        "GMAC before",
        "GMAC after",
        "share",
        "",
    ]);
    for cut in cuts {
        table.add_row([
            cut.index.to_string(),
            cut.name.clone(),
            sizes(cut),
            cut.maps.to_string(),
            cut.elements.to_string(),
            cut.element.name().to_string(),
            cut.bytes.to_string(),
            format!("{:.3}", cut.head_macs as f64 / 1e9),
            format!("{:.3}", cut.tail_macs as f64 / 1e9),
            format!("{:.1} %", 100.0 * share(graph, cut)),
            note(cut).to_string(),
        ]);
    }
    for column in [0, 3, 4, 6, 7, 8, 9] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!(
        "{table}\n{} cuts shown; {:.3} GMAC, {} classes, input {} {:?}",
        cuts.len(),
        graph.total_macs() as f64 / 1e9,
        graph.classes(),
        graph.input_name(),
        graph.input_shape(),
    )
}

fn csv(graph: &Graph, cuts: &[&Cut]) -> String {
    let mut text = String::from(
        "index,name,kind,shape,maps,height,width,elements,dtype,bytes,splittable,head_macs,tail_macs,head_share\n",
    );
    for cut in cuts {
        let kind = match cut.kind {
            CutKind::Input => "input",
            CutKind::Feature => "feature",
            CutKind::Local => "local",
        };
        let fields = [
            cut.index.to_string(),
            quoted(&cut.name),
            kind.to_string(),
            sizes(cut),
            cut.maps.to_string(),
            cut.height.to_string(),
            cut.width.to_string(),
            cut.elements.to_string(),
            cut.element.name().to_string(),
            cut.bytes.to_string(),
            cut.splittable.to_string(),
            cut.head_macs.to_string(),
            cut.tail_macs.to_string(),
            format!("{:.6}", share(graph, cut)),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

/// A field as RFC 4180 wants it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_string()
    }
}
