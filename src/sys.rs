//! Linux: the one owner of every child, and what podinit has to know of the machine. The only place with `unsafe`.
//!
//! Read in this order: [`pid1`] makes this process fit to own children, [`table`] spawns, signals and reaps them,
//! `after_fork` is what a child does before its exec. [`signals`] are podinit's own, [`procfs`] is the kernel's view of
//! other processes, [`clock`], [`host`] and [`directories`] are what a plan is resolved against.
//!
//! Nothing here decides: the table reports ([`crate::domain::event::Event`]) and does as it is told
//! ([`crate::ports::Children`]).

mod after_fork;
mod call;
mod launch;
mod notify;
mod pipes;
mod poller;
mod terminal;

pub mod pid1;
pub mod signals;
pub mod table;

pub mod procfs;

pub mod clock;
pub mod directories;
pub mod host;
pub mod limits;
