//! Fuzzes [`vmt_fuzz::soundfont`].

#![no_main]

vmt_fuzz::fuzz!(soundfont);
