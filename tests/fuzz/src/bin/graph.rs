//! Fuzzes [`vmt_fuzz::graph`].

#![no_main]

vmt_fuzz::fuzz!(graph);
