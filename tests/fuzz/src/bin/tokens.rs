//! Fuzzes [`vmt_fuzz::tokens`].

#![no_main]

vmt_fuzz::fuzz!(tokens);
