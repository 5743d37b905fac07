//! Integration tests; the modules are in `main.rs`.
