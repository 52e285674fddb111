#![no_main]

saescope_fuzz::target!(config);
