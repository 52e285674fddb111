#![no_main]

saescope_fuzz::target!(run_folder);
