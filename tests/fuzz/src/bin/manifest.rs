//! Fuzzes [`vmt_fuzz::manifest`].

#![no_main]

vmt_fuzz::fuzz!(manifest);
