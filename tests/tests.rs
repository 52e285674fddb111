//! The one integration harness.

mod architecture;
mod cli;
mod compare;
mod data;
mod durable;
mod generated;
mod golden_models;
mod gpu;
mod gpu_kernels;
mod gpu_source;
mod hostile;
mod length_control;
mod real_models;
mod registry;
mod reliability;
mod rough;
mod serve;
mod trust;
