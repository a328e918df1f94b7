//! Fuzzes [`vmt_fuzz::frames`].

#![no_main]

vmt_fuzz::fuzz!(frames);
