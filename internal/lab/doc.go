// Package lab is the crash laboratory.
package lab
