// SPDX-License-Identifier: Apache-2.0
//
// Holds the precompiled gtest header that all test binaries share (cmake/FaultlineTest.cmake). A
// precompiled header needs a target and a target needs a source: this is it, empty on purpose.
