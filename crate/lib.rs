//! saescope: spectrum and geometry of sparse-autoencoder features, measured with their controls.
//!
//! The library runs a language model and its sparse autoencoders (SAEs) over triples
//! (prompt, fact, hallucination) and measures the active features. All computing lives here;
//! the command line (`cli`) and the browser bindings (`web`) are thin.
//!
//! Imports go downward only:
//! `cli, web → protocol, run, calibrate → engine → model, sae, batch, checkpoint, json → platform → hash, error`;
//! `metrics`, `stats`, `geometry` and `output` never see a tensor.

// what is said goes through `cli`'s `print` and `say`: the macros panic where nobody can listen
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]
#![deny(clippy::todo, clippy::unimplemented)]

pub mod batch;
pub mod calibrate;
pub mod checkpoint;
#[cfg(native)]
pub mod cli;
pub mod dataset;
pub mod engine;
pub mod error;
pub mod geometry;
pub mod hash;
pub mod json;
pub mod metrics;
pub mod model;
pub mod output;
pub mod platform;
pub mod protocol;
pub mod random;
pub mod run;
pub mod sae;
pub mod stats;
#[cfg(web)]
pub mod web;

pub use error::{Error, Result};
