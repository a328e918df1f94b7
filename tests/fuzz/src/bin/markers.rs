//! Fuzzes [`vmt_fuzz::markers`].

#![no_main]

vmt_fuzz::fuzz!(markers);
