/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the modules under test that a test can come before, or refuse. A test that
 * links this wraps the calls with the linker (see CMakeLists.txt). */
#ifndef TESTS_UNIT_SIDECAR_DISK_H
#define TESTS_UNIT_SIDECAR_DISK_H

/* Zero: all go their usual way. */
struct disk {
    /* Before each link, open, access, mkdir, rename and listing, whoever asks for it.
     * Not called again from within. NULL: nothing. */
    void (*before)(void *arg);
    void *arg;
    /* What these calls fail with; 0: they do not. */
    int link_errnum;
    int copy_errnum; /* copy_file_range */
    int sync_errnum; /* fdatasync */
    /* No file or folder whose path has this in it can be made; NULL: all can. */
    const char *full;
    /* After so many listings of this folder one fails. NULL: none does, or it has. */
    const char *unlisted;
    unsigned listings;
};

/* What a test writes need not outlive the machine: no sync waits for a disk. */

extern struct disk disk;

#endif
