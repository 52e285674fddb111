//! sae

/// An active feature of one text at one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Index into the dictionary.
    pub index: u32,
    /// Activation, > 0.
    pub activation: f32,
}
