//! The one integration harness.

mod architecture;
mod bench;
mod bits;
mod calibrate;
mod cli;
#[cfg(unix)]
mod cluster;
mod compare;
mod convert;
mod data;
mod devices;
mod durable;
mod embed;
mod generated;
mod golden_models;
mod gpu;
mod gpu_kernels;
mod gpu_source;
mod hostile;
// counted by valgrind, whose processor is an x86-64
#[cfg(target_arch = "x86_64")]
mod instructions;
mod labels;
mod length_control;
mod precisions;
mod profile;
mod real_models;
mod registry;
mod reliability;
mod report;
mod rough;
mod serve;
mod shares;
mod statistics;
mod trust;
