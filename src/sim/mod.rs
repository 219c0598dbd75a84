//! The seeded simulation runtime.
