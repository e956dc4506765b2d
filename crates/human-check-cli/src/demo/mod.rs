//! What a first look at the library shows: [`once`], a table of all vendors and all kinds of tokens.

pub mod once;
