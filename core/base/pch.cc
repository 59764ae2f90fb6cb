// SPDX-License-Identifier: Apache-2.0
//
// Holds the precompiled header of core's sources (cmake/FaultlineCore.cmake), which has headers
// from outside alone. A precompiled header needs a target and a target needs a source: this is it,
// empty on purpose. No source may rely on the header: preset tsa compiles all of them without it.
