#![no_main]

saescope_fuzz::target!(data_json);
