#![no_main]

saescope_fuzz::target!(tokenizer);
