//! The page: one HTML file that needs nothing else.

mod blocks;
mod run;
mod sweep;

use crate::ReportError;
use crate::draw::{ink, svg_inline};
use crate::figures::Figure;
use crate::published::{Line, Ran, Verdict, left_out};
use crate::run::estimate::Estimate;
use blocks::{Block, Cell, Document, Table, TableRow, column, note, words};
use minijinja::Environment;
use minijinja::value::{Serde, Value};
use serde::Serialize;

pub use run::run_page;
pub use sweep::sweep_page;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("hover.js");

/// A page and the figures in it.
pub struct Page {
    /// HTML.
    pub html: String,
    /// In the order of the page.
    pub figures: Vec<Figure>,
}

/// Bytes of drawings beyond which figures are kept for files of their own alone. Leaves a page below 5 MB room for its tables.
const DRAWN_BYTES: usize = 3_500_000;
/// The same of tables, without their tags.
const TABLE_BYTES: usize = 250_000;

/// Collects figures while sections are written.
#[derive(Default)]
struct Sheets {
    figures: Vec<Figure>,
    drawn_bytes: usize,
    table_bytes: usize,
}

impl Sheets {
    /// The figure as a block; it is kept for its own file.
    fn show(&mut self, figure: Figure) -> Block {
        let block = Block::Figure {
            id: figure.id.clone(),
            title: figure.title.clone(),
            caption: figure.caption.clone(),
            svg: svg_inline(figure.drawing.as_ref(), &figure.id),
        };
        self.figures.push(figure);
        block
    }

    /// The same, as long as the page has room for it; one that does not fit is kept for its own file, and ends the room.
    fn show_if_room(&mut self, figure: Figure) -> Option<Block> {
        if self.drawn_bytes > DRAWN_BYTES {
            self.figures.push(figure);
            return None;
        }
        let block = self.show(figure);
        if let Block::Figure { svg, .. } = &block {
            self.drawn_bytes += svg.len();
        }
        (self.drawn_bytes <= DRAWN_BYTES).then_some(block)
    }

    /// Whether the page has room for `table`.
    fn has_room(&mut self, table: &Table) -> bool {
        let cells = table.rows.iter().flat_map(|row| &row.cells);
        self.table_bytes += cells.map(|cell| cell.text.len()).sum::<usize>();
        self.table_bytes <= TABLE_BYTES
    }
}

/// What the template sees.
#[derive(Serialize)]
struct Whole<'a> {
    version: &'static str,
    style: String,
    script: &'static str,
    #[serde(flatten)]
    page: &'a Document,
}

impl Document {
    fn html(&self) -> Result<String, ReportError> {
        let mut environment = Environment::new();
        // A name in .html turns escaping on.
        environment.add_template("page.html", TEMPLATE)?;
        let whole = Whole {
            version: env!("CARGO_PKG_VERSION"),
            style: ink::variables() + STYLE,
            script: SCRIPT,
            page: self,
        };
        let template = environment.get_template("page.html")?;
        Ok(template.render(Value::from(Serde(whole)))?)
    }
}

/// `value [low, high]` times `factor`, with `digits`.
fn interval(estimate: Estimate, factor: f64, digits: usize) -> String {
    let e = estimate.scaled(factor);
    minus(format!(
        "{:.digits$} [{:.digits$}, {:.digits$}]",
        e.value, e.low, e.high
    ))
}

/// The same with signs, for differences.
fn difference(estimate: Estimate, factor: f64, digits: usize) -> String {
    let e = estimate.scaled(factor);
    minus(format!(
        "{:+.digits$} [{:+.digits$}, {:+.digits$}]",
        e.value, e.low, e.high
    ))
}

/// With a minus sign in place of each hyphen.
fn minus(text: String) -> String {
    text.replace('-', "−")
}

/// The table of published figures.
fn published_blocks(lines: &[Line], ran: &[Ran]) -> Vec<Block> {
    let rows = lines.iter().map(|line| {
        let class = match line.verdict {
            Verdict::Reproduced => "verdict good",
            Verdict::Better => "verdict more",
            Verdict::NotReproduced => "verdict bad",
            Verdict::Undecided => "verdict",
        };
        let cell = |text: &str, class| Cell {
            text: text.into(),
            class,
        };
        TableRow {
            strong: false,
            cells: vec![
                cell(&line.what, "words"),
                cell(&line.published, "words"),
                cell(&line.ours, "words"),
                cell(line.verdict.name(), class),
                cell(&line.why, "words"),
            ],
        }
    });
    let table = Table {
        groups: Vec::new(),
        header: vec![
            column("figure", ""),
            words("published"),
            words("here"),
            words("verdict"),
            words("why"),
        ],
        rows: rows.collect(),
    };
    let mut blocks = vec![
        Block::Text {
            text: "Figures of arXiv 2601.08135 beside what was run here.".into(),
        },
        Block::Table(table),
        note(
            "Reproduced: within a point (of accuracy, of a lead or of a share of energy), or the 95 % interval holds the published figure and is at most two points wide \
             to each side. Better, not reproduced: beyond that, on one side or the other. Cannot tell: the interval is wider and holds the figure. The paper does not say whether its \
             gains are points or relative, nor which benchmark each is taken against: leads are judged as points of accuracy, savings as shares of energy; a lead is judged against the most accurate one, a saving against the thriftiest that is \
             as accurate; what gains are against the easiest one stands behind the semicolon and decides nothing.",
        ),
    ];
    blocks.extend(left_out(ran).map(note));
    blocks
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("one {one}")
    } else {
        format!("{count} {many}")
    }
}
