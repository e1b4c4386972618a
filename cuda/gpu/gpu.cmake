# The GPU library: launchers for every machine (g++ alone, no CUDA toolkit), and kernels ahead of time where there is nvcc.
set(AVATAR3D_CUDA AUTO CACHE STRING "Compile kernels by nvcc: ON, OFF, or AUTO where it is found; else NVRTC does later")
set(AVATAR3D_CUDA_ARCHS "75;80;86;89;90;100;120" CACHE STRING "Compute capabilities; the last one as PTX, too")

if(UNIX AND NOT APPLE)
  file(GLOB GPU_KERNELS CONFIGURE_DEPENDS cuda/gpu/*.cu)
  file(GLOB GPU_HEADERS CONFIGURE_DEPENDS cuda/gpu/*.h cuda/math/*.h)
  file(GLOB GPU_SOURCES CONFIGURE_DEPENDS cuda/gpu/*.cpp)

  add_library(avatar3d_gpu SHARED ${GPU_SOURCES})
  target_include_directories(avatar3d_gpu PRIVATE cuda)
  target_compile_options(avatar3d_gpu PRIVATE -O2 -Wall -Wextra)
  target_link_libraries(avatar3d_gpu PRIVATE ${CMAKE_DL_LIBS})
  target_link_options(avatar3d_gpu PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL)
  install(TARGETS avatar3d_gpu LIBRARY DESTINATION avatar3d/ops)
  if(SKBUILD) # what NVRTC compiles; a source tree has it already
    foreach(file ${GPU_KERNELS} ${GPU_HEADERS})
      get_filename_component(folder ${file} DIRECTORY)
      get_filename_component(folder ${folder} NAME)
      install(FILES ${file} DESTINATION avatar3d/ops/cuda/${folder})
    endforeach()
  endif()

  # Not enable_language(CUDA): that fails where there is no toolkit, and it wants to link.
  find_program(NVCC nvcc HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(AVATAR3D_CUDA STREQUAL "ON" AND NOT NVCC)
    message(FATAL_ERROR "AVATAR3D_CUDA=ON, but there is no nvcc: put it on PATH or set CUDA_HOME")
  endif()
  if(NVCC AND NOT AVATAR3D_CUDA STREQUAL "OFF")
    execute_process(COMMAND ${NVCC} --list-gpu-code OUTPUT_VARIABLE NVCC_CODES)
    set(GENCODE "")
    foreach(arch ${AVATAR3D_CUDA_ARCHS})
      if(NVCC_CODES MATCHES "sm_${arch}[\r\n]") # an older nvcc does not know the newest ones
        list(APPEND GENCODE -gencode arch=compute_${arch},code=sm_${arch})
        set(NEWEST ${arch})
      endif()
    endforeach()
    list(APPEND GENCODE -gencode arch=compute_${NEWEST},code=compute_${NEWEST})
    set(FATBINS "")
    foreach(kernel ${GPU_KERNELS})
      get_filename_component(name ${kernel} NAME_WE)
      set(fatbin ${CMAKE_CURRENT_BINARY_DIR}/fatbin/${name}.fatbin)
      add_custom_command(
        OUTPUT ${fatbin}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/fatbin
        COMMAND ${NVCC} -std=c++20 -I ${CMAKE_CURRENT_SOURCE_DIR}/cuda ${GENCODE} -fatbin -o ${fatbin} ${kernel}
        DEPENDS ${kernel} ${GPU_HEADERS}
        COMMENT "Compiling CUDA kernels of ${name}"
        VERBATIM)
      list(APPEND FATBINS ${fatbin})
    endforeach()
    add_custom_target(avatar3d_kernels ALL DEPENDS ${FATBINS})
    install(FILES ${FATBINS} DESTINATION avatar3d/ops/cuda/fatbin)
  endif()
endif()
