//! The one integration harness.

mod architecture;
mod cli;
mod golden_models;
mod gpu;
mod length_control;
mod real_models;
mod serve;
