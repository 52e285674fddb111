//! The sparse autoencoder of layer 23 of SmolLM2-135M-Instruct, in SAELens' format.

/// Name and bytes of its files.
pub const FILES: [(&str, &[u8]); 2] =
    [("cfg.json", include_bytes!("cfg.json")), ("sae_weights.safetensors", include_bytes!("sae_weights.safetensors"))];
