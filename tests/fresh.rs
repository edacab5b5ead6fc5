//! What is generated from the types is as committed. Refresh with `UPDATE_EXPECT=1 cargo test --test fresh`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests are at the edge"
)]

use expect_test::expect_file;
use podinit::spec::schema;

#[path = "support/rules.rs"]
mod rules;

#[test]
fn the_table_of_rules_is_fresh() {
    expect_file!["../src/spec/check/table.rs"].assert_eq(&rules::table(&schema::spec_schema()));
}
