//! Files of the state directory.

use crate::ports::StateFiles;

/// Writes them.
#[derive(Debug)]
pub(super) struct State;

impl StateFiles for State {
    fn write(&mut self, _: String, _: String) {}
}
