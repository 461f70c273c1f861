//! What a page is made of. All text is plain here; the template escapes it.

use serde::Serialize;

/// A page.
#[derive(Debug, Serialize)]
pub struct Document {
    /// Heading.
    pub title: String,
    /// Paragraphs below it, the first larger.
    pub lead: Vec<String>,
    /// What a reader should know before believing the page.
    pub doubts: Vec<String>,
    /// Sections.
    pub sections: Vec<Section>,
}

/// A section.
#[derive(Debug, Serialize)]
pub struct Section {
    /// Anchor.
    pub id: String,
    /// Heading.
    pub title: String,
    /// Content.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Block {
    /// A drawing.
    Figure {
        /// Anchor.
        id: String,
        /// In a few words.
        title: String,
        /// How to read it.
        caption: String,
        /// SVG element, the only markup that is not escaped: the drawing has escaped its texts itself.
        svg: String,
    },
    /// A paragraph.
    Text {
        /// Words.
        text: String,
    },
    /// A remark.
    Note {
        /// Words.
        text: String,
    },
    /// A heading below the section's.
    Heading {
        /// Words.
        text: String,
    },
    /// A table.
    Table(Table),
    /// A table, folded away.
    Folded {
        /// What it is.
        summary: String,
        /// The table.
        table: Table,
    },
    /// Names and values.
    Facts {
        /// In order.
        facts: Vec<Fact>,
    },
    /// Something long, folded away.
    Details {
        /// What it is.
        summary: String,
        /// Preformatted text.
        text: String,
    },
}

/// A table.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    /// Names over several columns, with their numbers; may be empty.
    pub groups: Vec<(String, usize)>,
    /// Columns.
    pub header: Vec<Column>,
    /// Rows.
    pub rows: Vec<TableRow>,
}

/// Head of a column.
#[derive(Debug, Serialize)]
pub struct Column {
    /// Name.
    pub text: String,
    /// Unit; may be empty.
    pub unit: String,
    /// Whether it holds words, not numbers.
    pub words: bool,
}

/// A row.
#[derive(Debug, Default, Serialize)]
pub struct TableRow {
    /// Stands out.
    pub strong: bool,
    /// Cells.
    pub cells: Vec<Cell>,
}

/// A cell.
#[derive(Debug, Serialize)]
pub struct Cell {
    /// Content.
    pub text: String,
    /// Class of the style sheet; may be empty.
    pub class: &'static str,
}

/// A name with its value.
#[derive(Debug, Serialize)]
pub struct Fact {
    /// Name.
    pub name: String,
    /// Value.
    pub text: String,
    /// Whether it is something to type.
    pub code: bool,
}

/// A column of numbers.
pub fn column(text: impl Into<String>, unit: &str) -> Column {
    Column {
        text: text.into(),
        unit: unit.into(),
        words: false,
    }
}

/// A column of words.
pub fn words(text: &str) -> Column {
    Column {
        text: text.into(),
        unit: String::new(),
        words: true,
    }
}

/// A row of numbers.
pub fn row(strong: bool, cells: Vec<String>) -> TableRow {
    let cells = cells.into_iter().map(|text| Cell { text, class: "" });
    TableRow {
        strong,
        cells: cells.collect(),
    }
}

/// A fact.
pub fn fact(name: &str, text: impl Into<String>) -> Fact {
    Fact {
        name: name.into(),
        text: text.into(),
        code: false,
    }
}

/// A fact to type.
pub fn code(name: &str, text: impl Into<String>) -> Fact {
    Fact {
        code: true,
        ..fact(name, text)
    }
}

/// A remark.
pub fn note(text: impl Into<String>) -> Block {
    Block::Note { text: text.into() }
}

/// A section.
pub fn section(id: &str, title: &str, blocks: Vec<Block>) -> Section {
    Section {
        id: id.into(),
        title: title.into(),
        blocks,
    }
}
