//! Fuzzes [`vmt_fuzz::record`].

#![no_main]

vmt_fuzz::fuzz!(record);
