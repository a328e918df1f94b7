//! Fuzzes [`vmt_fuzz::options`].

#![no_main]

vmt_fuzz::fuzz!(options);
