//! The one integration harness.

mod architecture;
mod cli;
mod data;
mod golden_models;
mod gpu;
mod real_models;
mod serve;
