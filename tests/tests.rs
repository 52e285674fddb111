//! The one integration harness.

mod golden_models;
