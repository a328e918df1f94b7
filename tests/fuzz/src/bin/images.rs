//! Fuzzes [`vmt_fuzz::images`].

#![no_main]

vmt_fuzz::fuzz!(images);
