//! The collector: a thread that judges samples as they come, keeps the book of who pins, holds it
//! against the kernel, and publishes a snapshot once a second.
//!
//! Data flows one way: whoever shows anything is given snapshots, and cannot change them.

mod arming;
mod audit;
mod auditor;
mod book;
mod calls;
mod collector;
mod continuity;
mod doubts;
#[cfg(test)]
pub(crate) mod fixtures;
mod holdings;
mod hooks;
mod reconcile;
mod recorder;
mod sampling;
mod seeing;
mod snapshot;
mod spoiled;
mod thread;
mod tuning;

pub(crate) use arming::WritebackHooks;
pub(crate) use audit::Cause;
pub(crate) use book::{About, Book, Row};
pub(crate) use calls::CallUnderWay;
pub(crate) use collector::{Collector, Parts, Selection};
pub(crate) use continuity::Progress;
pub(crate) use hooks::Hook;
pub(crate) use recorder::Destination;
pub(crate) use sampling::Estimate;
pub(crate) use snapshot::Snapshot;
pub(crate) use thread::{Collecting, Snapshots, Source, start};
pub(crate) use tuning::{Reloaded, Tuning};
