//! Addresses and files for the network.
