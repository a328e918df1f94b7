//! Fuzzes [`vmt_fuzz::midi`].

#![no_main]

vmt_fuzz::fuzz!(midi);
