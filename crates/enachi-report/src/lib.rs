//! Figures and tables.
