#![no_main]

saescope_fuzz::target!(sae_config);
