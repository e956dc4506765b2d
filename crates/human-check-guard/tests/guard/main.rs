//! What a guard decides and answers, without any framework.

mod decision;
mod support;
mod tap;
