//! plan/graph
