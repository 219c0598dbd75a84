//! The runtime on real loopback sockets, with a stand-in for the node.

mod clients;
mod peers;
mod stand_in;
