//! plan/validate
