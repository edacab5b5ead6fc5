//! One case a rule, with the exact message.
