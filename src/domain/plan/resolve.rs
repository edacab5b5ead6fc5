//! plan/resolve
